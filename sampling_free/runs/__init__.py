"""What a training run is on every host: its options, its folder, its stream of images, its figures and pictures."""
