"""The commands of the command line: train, compare, predict, plot."""
