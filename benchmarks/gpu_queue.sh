#!/usr/bin/env bash
# One item of the GPU queue (README.md), for a machine that is lent for minutes and has no network:
#
#     OUT=records bash benchmarks/gpu_queue.sh ITEM [option of `benchmark`...]
#
# Records go to OUT. It stops in time (LIMIT seconds, 470 by default). A grid goes on from what lies
# under results/ of its name: unpack the archive that it leaves in OUT there, and call it again.
# Packages that the machine lacks are taken from wheels in the folder WHEELS (.whl by default).
set -euo pipefail
cd "$(dirname "$0")/.."
: "${OUT:?name a folder for the records}"
mkdir -p "$OUT"
OUT=$(realpath "$OUT")
end=$((SECONDS + ${LIMIT:-470}))
if compgen -G "${WHEELS:-.whl}/*.whl" > /dev/null; then
  python3 -m pip install --quiet --no-index --no-deps "${WHEELS:-.whl}"/*.whl
fi
export PYTHONPATH=$PWD PYTHONUNBUFFERED=1

until_end() { # interrupted as by a Ctrl-C, with time left to write down where it was
  timeout --signal INT --kill-after 30 $((end - SECONDS - 30)) "$@" || echo "ended with status $?"
}

grid() { # NAME [option...]
  local name=$1
  shift
  mkdir -p runs
  [ -d "runs/$name" ] || [ ! -d "results/$name" ] || cp -r "results/$name" runs/
  until_end python3 -m lightning_stdim benchmark --out "runs/$name" --preset paper "$@"
  tar --exclude checkpoints --exclude encoder --exclude tensorboard --exclude '*.log' -czf "$OUT/$name.tar.gz" -C runs "$name"
}

item=${1:?name an item}
shift
case $item in
  speed)
    for script in floors methods step "probing --device cuda" memory; do
      read -r name options <<< "$script"
      # shellcheck disable=SC2086  # options are words
      until_end python3 "benchmarks/$name.py" $options --out "$OUT/$name-gpu.json"
    done
    ;;
  trainings) until_end python3 benchmarks/trainings.py --out "$OUT/trainings-gpu.json" ;;
  attempts) until_end python3 benchmarks/attempts.py --repeats 2 --out "$OUT/attempts-gpu.json" ;;
  packing) until_end python3 benchmarks/packing.py --bf16 --runs 2,4,8 --out "$OUT/packing-gpu.json" ;;
  pong) grid pong-paper --games pong --methods all --jobs 4 "$@" ;;
  games) grid games-paper --games all --methods majority,random-cnn,st-dim,supervised --jobs 4 "$@" ;;
  *)
    echo "there is no item $item: speed, trainings, attempts, packing, pong or games" >&2
    exit 2
    ;;
esac
