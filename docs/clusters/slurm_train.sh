#!/bin/bash
# One run on 4 nodes with 8 GPUs each: a worker a node, all of which see the same folders.
#   sbatch docs/clusters/slurm_train.sh
#SBATCH --job-name=gsda
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-task=8
#SBATCH --cpus-per-task=32
#SBATCH --time=24:00:00
#SBATCH --signal=TERM@120
#SBATCH --requeue
# A node that dies, or the end of the time, ends all workers with code 75; started again, they go on.
set -e
# TensorFlow is told of the workers by TF_CONFIG: all addresses, and the place of each process among them.
WORKERS=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | sed 's/.*/"&:10000"/' | paste -sd,)
export WORKERS
exec srun --kill-on-bad-exit=1 bash -c '
  export TF_CONFIG="{\"cluster\": {\"worker\": [$WORKERS]}, \"task\": {\"type\": \"worker\", \"index\": $SLURM_PROCID}}"
  exec "$@"' - python -m launch.train \
  --strategy=multi_worker \
  --task=office_home/Ar_Pr --source_batch=1152 --target_batch=1152 --precision=mixed_float16 \
  --data_dir="${DATA:-$HOME/tensorflow_datasets}" --workdir="${RUNS:-$PWD/runs}/ArPr"
