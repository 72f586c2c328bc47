"""Where the commands begin: stop signals are seen to before anything is imported that takes time."""

from __future__ import annotations

from sne_deploy.stopping import end_at_signals


def main() -> int:
    """Entry point of ``sne``; gives the exit status."""
    end_at_signals()
    from sne_deploy import cli

    return cli.main()


def compile_main() -> int:
    """Entry point of ``sne-compile``: the same as ``sne compile``."""
    end_at_signals()
    from sne_deploy import cli

    return cli.compile_main()
