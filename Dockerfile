# CPU: docker build -t gsda .        GPU: docker build -t gsda:gpu --build-arg EXTRA="tensorflow[and-cuda]==2.15.1" .
# mkdir -p runs && docker run --rm --user "$(id -u)" -v "$PWD/photos:/data/photos:ro" -v "$PWD/runs:/data/runs" gsda \
#   train --source_dir=photos/labelled --target_dir=photos/new --weights=none --extractor=small_cnn
FROM python:3.11-slim
WORKDIR /opt/gsda
COPY requirements.txt constraints.txt ./
ENV PIP_CONSTRAINT=/opt/gsda/constraints.txt PIP_BUILD_CONSTRAINT=/opt/gsda/constraints.txt PIP_NO_CACHE_DIR=1
ARG EXTRA=""
RUN pip install -r requirements.txt ${EXTRA:+"$EXTRA"}
COPY . .
RUN pip install --no-deps . && useradd gsda && mkdir -p /data/runs && chown gsda /data/runs
# What is trained on may be a stranger's: no rights. Whoever runs it owns `runs`, where features and weights are kept, too.
USER gsda
WORKDIR /data
ENV HOME=/data/runs
ENTRYPOINT ["gsda"]
CMD ["--help"]
