"""Two real processes: ratio and count are those of the losses averaged over both."""

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from sampling_free.mechanism import ForegroundNormalizer, FrozenScaling, GuidedScaling


def worker(rank, folder):
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    losses = {"cls": torch.tensor([2.0, 6.0][rank]), "loc": torch.tensor([1.0, 0.0][rank])}
    guided, frozen, count = GuidedScaling(), FrozenScaling(warmup=1), ForegroundNormalizer()
    guided(losses, "cls", "loc"), frozen(losses, "cls", "loc")
    with torch.no_grad():  # one process alone may look at losses: this would wait for ever if it talked to the other
        if rank == 0:
            GuidedScaling()(losses, "cls", "loc"), ForegroundNormalizer()(torch.tensor(3))
    torch.save([guided.last["ratio"], frozen.ratio, count(torch.tensor([30, 0][rank]))], f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_ratio_and_count_are_averaged_over_processes(tmp_path):
    mp.spawn(worker, args=(str(tmp_path),), nprocs=2)
    for rank in range(2):
        values = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        # mean L_loc = 0.5, mean L_cls = 4; mean N_f = 15, also for the process that has none
        torch.testing.assert_close(torch.stack(values), torch.tensor([0.125, 0.125, 15.0]))
