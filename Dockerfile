# Both hosts for NVIDIA GPUs: CUDA's compiler builds detectron2's operators in the first stage, the second runs without it.
# torch's wheels bring the CUDA libraries; the machine needs NVIDIA's driver and container toolkit. README.md has the
# commands. For another GPU generation: --build-arg TORCH_CUDA_ARCH_LIST=9.0
FROM nvidia/cuda:13.0.2-devel-ubuntu24.04 AS build

RUN apt-get update && apt-get install --yes --no-install-recommends g++ git make python3-dev python3-venv \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /home/trainer/sampling-free

# dependencies first: they change less often than the code
COPY Makefile pyproject.toml setup.py constraints.txt LICENSE README.md ./
RUN mkdir sampling_free && touch sampling_free/__init__.py && PIP_NO_CACHE_DIR=1 make setup
# the GPU generations that torch's own wheels are built for
ARG TORCH_CUDA_ARCH_LIST="7.5;8.0;8.6;9.0;10.0;12.0+PTX"
RUN FORCE_CUDA=1 make setup-detectron2

COPY sampling_free sampling_free
COPY configs configs
COPY projects projects
COPY train_net.py ./


FROM ubuntu:24.04

RUN apt-get update && apt-get install --yes --no-install-recommends ca-certificates libgomp1 python3 \
 && rm -rf /var/lib/apt/lists/*
# the base image's own user has the number that most people's files on the host have
RUN userdel --remove ubuntu && useradd --create-home --uid 1000 trainer \
 && mkdir /data /output && chown trainer /data /output
COPY --from=build --chown=trainer /home/trainer/sampling-free /home/trainer/sampling-free
WORKDIR /home/trainer/sampling-free
# what the configs write to output/ is in the volume
RUN ln -s /output output

USER trainer
ENV PATH=/home/trainer/sampling-free/.venv/bin:$PATH \
    DETECTRON2_DATASETS=/data COCO_ROOT=/data/coco VOC_ROOT=/data \
    FVCORE_CACHE=/output/cache TORCH_HOME=/output/cache \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
VOLUME ["/data", "/output"]
ENTRYPOINT ["python", "train_net.py"]
