"""Where the commands begin: stop signals are seen to before anything is imported that takes time."""

from __future__ import annotations


def main() -> int:
    """Entry point of ``sne``; gives the exit status."""
    _end_at_signals()
    from sne_deploy import cli

    return cli.main()


def compile_main() -> int:
    """Entry point of ``sne-compile``: the same as ``sne compile``."""
    _end_at_signals()
    from sne_deploy import cli

    return cli.compile_main()


def _end_at_signals() -> None:
    import signal

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # in the next import it would print a traceback
    from sne_deploy.stopping import end_at_signals

    end_at_signals()
