"""ResNet-101 in place of ResNet-50."""


def with_resnet101(model, train):
    """In place."""
    model.backbone.bottom_up.stages.depth = 101
    train.init_checkpoint = "detectron2://ImageNetPretrained/MSRA/R-101.pkl"
