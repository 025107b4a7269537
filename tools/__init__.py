"""Scripts that check the project itself."""
