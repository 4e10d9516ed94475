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
exec srun --kill-on-bad-exit=1 python -m launch.train \
  --strategy=multi_worker --cluster=slurm \
  --task=office_home/Ar_Pr --source_batch=1152 --target_batch=1152 --precision=mixed_float16 \
  --data_dir="${DATA:-$HOME/tensorflow_datasets}" --workdir="${RUNS:-$PWD/runs}/ArPr"
