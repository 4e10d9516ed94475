#!/bin/bash
# A Dask scheduler, a worker a GPU, and a sweep on them; a prediction of many images goes the same way.
#   sbatch docs/clusters/slurm_dask.sh
#SBATCH --job-name=gsda-dask
#SBATCH --ntasks=16
#SBATCH --gpus-per-task=1
#SBATCH --cpus-per-task=8
#SBATCH --time=24:00:00
#SBATCH --signal=B:TERM@180
# The file tells where the scheduler is. It listens on the nodes' network and asks nobody who they are.
file="$PWD/scheduler-${SLURM_JOB_ID:-0}.json"
dask scheduler --scheduler-file "$file" --port 0 &
until [ -s "$file" ]; do sleep 1; done
srun dask worker --scheduler-file "$file" --nthreads 1 --no-dashboard &
address=$(python -c 'import json, sys; print(json.load(open(sys.argv[1]))["address"])' "$file")
python -m launch.sweep --scheduler="$address" \
  --benchmark=office_home --methods=source_only,domain,gsda --seeds=0,1,2 \
  --data_dir="${DATA:-$HOME/tensorflow_datasets}" --out="${RUNS:-$PWD/sweeps}/office_home" &
client=$!
trap 'kill -TERM $client' TERM
wait $client
wait $client
code=$?
kill %1 %2
exit $code
