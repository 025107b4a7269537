"""The one exception for what a user can cause and mend."""


class UserError(ValueError):
    """A mistake in a config, a file or a parameter, said in one sentence: what is wrong, where, what to do.

    The command lines print the sentence and exit with status 2; a traceback would add nothing.
    """

    def __str__(self) -> str:
        """The sentence alone, also of an error that a data loader's worker wrapped into its traceback."""
        return super().__str__().rpartition(f"{__name__}.{type(self).__name__}: ")[2].strip()


class DivergedError(RuntimeError):
    """A loss that is not finite: training cannot go on, and what it wrote before is worth keeping.

    The command lines print the sentence and exit with status 3, so that a comparison can note it and go on.
    """
