"""Names that the help of the command line shows, without anything that predicts."""

DEFAULT_MODEL = "relief-free"
SAME_DATUM = "same-as-prior"
