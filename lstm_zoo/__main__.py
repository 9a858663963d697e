"""`python -m lstm_zoo`."""

from lstm_zoo.cli import main

main()
