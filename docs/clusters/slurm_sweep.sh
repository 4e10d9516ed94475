#!/bin/bash
# A sweep as an array: each element has a GPU and begins with a seed of its own; all share one folder and one table.
#   sbatch docs/clusters/slurm_sweep.sh
#SBATCH --job-name=gsda-sweep
#SBATCH --array=0-4
#SBATCH --gpus=1
#SBATCH --cpus-per-task=8
#SBATCH --time=24:00:00
#SBATCH --signal=B:TERM@180
#SBATCH --requeue
# TERM comes 180 s before the end: the run at work writes its checkpoint, and the array submitted again goes on.
# Two elements never have the same run at work: the second waits, and takes it over if the first one dies.
set -e
seed=${SLURM_ARRAY_TASK_ID:-0}
exec python -m launch.sweep \
  --benchmark=office31 --methods=source_only,domain,gsda --seeds="$seed" \
  --data_dir="${DATA:-$HOME/tensorflow_datasets}" --out="${RUNS:-$PWD/sweeps}/office31-seed$seed"
