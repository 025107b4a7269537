"""From a data set to a config file: what the boxes say about sizes, schedule and rate, each choice with its reason."""
