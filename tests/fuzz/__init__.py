"""Files that are damaged at random: each is read, or refused in a sentence, and nothing is dropped uncounted."""
