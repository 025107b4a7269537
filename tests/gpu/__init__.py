"""What only a GPU can tell: `make test-gpu`. Without one every test here is skipped, by name."""
