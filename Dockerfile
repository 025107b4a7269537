# The torchvision host, for CPU and NVIDIA GPUs: torch's wheels of the package index bring their CUDA libraries, so the
# base needs none; the host needs the NVIDIA driver and its container toolkit.
#
#   docker build -t sampling-free .
#   docker run --gpus all --shm-size 8g -v /path/to/coco:/data/coco -v $PWD/output:/output sampling-free \
#     --config-file configs/torchvision/retinanet_coco.py --num-gpus 8 train.output_dir=/output/retinanet_coco
#
# --shm-size: data loader workers hand images over in shared memory, of which containers get 64 MB by default.
FROM python:3.12-slim

RUN useradd --create-home --uid 1000 trainer && mkdir /data /output && chown trainer /data /output
WORKDIR /home/trainer/sampling-free

# dependencies first: they change less often than the code
COPY pyproject.toml constraints.txt LICENSE README.md ./
RUN mkdir sampling_free && touch sampling_free/__init__.py \
 && pip install --no-cache-dir --constraint constraints.txt --editable '.[fast]'

COPY sampling_free sampling_free
COPY configs configs
COPY projects projects
COPY train_net.py ./
RUN chown -R trainer .

USER trainer
ENV COCO_ROOT=/data/coco VOC_ROOT=/data/VOCdevkit
VOLUME ["/data", "/output"]
ENTRYPOINT ["python", "train_net.py"]
