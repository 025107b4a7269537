"""DarkNet-53, YOLOv3's backbone, from timm."""

from torch import Tensor, nn


class DarkNet53(nn.Module):
    """The last three stages of timm's DarkNet-53.

    Args:
        weights: "DEFAULT" for timm's ImageNet weights, which are downloaded on first use; None for random ones.
    """

    names = ("c3", "c4", "c5")
    channels = (256, 512, 1024)
    strides = (8, 16, 32)

    def __init__(self, weights: str | None = "DEFAULT") -> None:
        super().__init__()
        if weights not in ("DEFAULT", None):
            raise ValueError(f'weights of DarkNet-53 are "DEFAULT" (timm\'s) or None, not {weights!r}')
        import timm  # loaded when a backbone asks for it

        self.body = timm.create_model(
            "darknet53", pretrained=weights is not None, features_only=True, out_indices=(3, 4, 5)
        )

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Feature maps by name, finest first, for images `(N, 3, H, W)`, RGB, normalised as ImageNet's."""
        return dict(zip(self.names, self.body(images), strict=True))
