"""Where the commands begin: stop signals are seen to before anything is imported that takes time."""


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
    import _signal  # type: ignore[import-not-found]  # built in: the module around it takes time to import

    if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)  # in the next import it would print a traceback
    from sne_deploy.stopping import end_at_signals

    end_at_signals()
