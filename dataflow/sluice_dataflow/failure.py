"""What is said when something cannot be done."""


class Failure(Exception):
    """What failed and why, and what to do about it. It never contains a cell's value."""

    def __init__(self, message: str, hint: str | None = None):
        super().__init__(message, hint)
        self.message, self.hint = message, hint

    def __str__(self) -> str:
        return f"{self.message}\n\nhint: {self.hint}" if self.hint else self.message
