"""What a run does beside training: every key of `train`, with its default."""

train = dict(
    output_dir="output/run",
    init_checkpoint="",  # weights to start from, or to evaluate: a checkpoint of a run or a bare state dict
    max_iter=90_000,  # iterations: calls of the optimiser
    eval_period=5_000,  # iterations between evaluations; the last one is always evaluated, with 0 no other
    checkpoint_period=1_000,  # iterations between writes of checkpoints/last.ckpt; with 0 only at the end
    log_period=20,  # iterations between rows of metrics.csv
    seed=0,  # of weights, data order, transforms and everything random in the model
    precision="32-true",  # or "bf16-mixed", "16-mixed"
    accumulate=1,  # batches that make an iteration
    clip_grad=None,  # largest norm of the gradient
    ema=None,  # decay of an exponential moving average of the weights, as 0.999; evaluated instead of them
    patience=None,  # evaluations without a better AP after which the run stops
    validation_loss=False,  # compute losses of the evaluation images as well
    prior="auto",  # of a sampling-free model: counted in the data, or a number, or None to leave it
)
