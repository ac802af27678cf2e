#!/usr/bin/env bash
# One item of the GPU queue (README.md), for a machine that is there for minutes and has no network:
#
#     OUT=records bash benchmarks/gpu_queue.sh ITEM [argument...]
#
# Records go to OUT as they are made. The script stops after LIMIT seconds (500 by default). What it
# could not finish goes on in the next call: on the same machine from runs/, on another one from the
# folder FROM (OUT by default), which holds what the earlier call left in its OUT. Packages that the
# machine lacks are taken from wheels in the folder WHEELS (.whl by default; gpu_wheels.sh fills it).
#
# With DRY=1 it does the same with the least of everything, on the CPU: so that a missing file or
# package is found before a GPU is there.
set -euo pipefail
FROM=$(realpath -m "${FROM:-${OUT:?name a folder for the records}}")
OUT=$(realpath -m "$OUT")
WHEELS=$(realpath -m "${WHEELS:-$(dirname "$0")/../.whl}")
cd "$(dirname "$0")/.."
mkdir -p "$OUT" runs
end=$((SECONDS + ${LIMIT:-500}))
device=cuda
preset=paper
dry=
if [ -n "${DRY:-}" ]; then
  export CUDA_VISIBLE_DEVICES=
  device=cpu
  preset=smoke
  dry=-dry # in the names of what it leaves in runs/
fi
if compgen -G "$WHEELS/*.whl" > /dev/null; then
  python3 -m pip install --quiet --no-index --no-deps "$WHEELS"/*.whl
fi
export PYTHONPATH=$PWD PYTHONUNBUFFERED=1

least() { # OPTION...: options of a dry run
  [ -z "$dry" ] || printf '%s ' "$@" # echo would take a -n for its own
}

until_end() { # COMMAND...: interrupted as by a Ctrl-C, with time left to write down where it was
  local left=$((end - SECONDS - 30))
  if [ "$left" -lt 1 ]; then # to `timeout`, 0 means forever
    echo "no time is left for $*"
    return
  fi
  [ -n "$dry" ] || [ "$left" -le "${most:-$left}" ] || left=$most
  # Even in the background of a shell, where interrupts are ignored.
  env --default-signal=INT timeout --signal INT --kill-after 30 "$left" "$@" ||
    echo "ended with status $?: $*"
}

take_up() { # NAME: what there is of it, unless it is still here
  local part
  if [ -d "runs/$1" ]; then
    echo "goes on with runs/$1, which is here"
    return
  fi
  [ ! -d "results/$1" ] || cp -r "results/$1" runs/
  [ ! -e "$FROM/$1.tar.gz" ] || tar -xzf "$FROM/$1.tar.gz" -C runs --skip-old-files
  for part in "$FROM/$1"--*.tar.00; do # of runs; finished ones stay as they are
    [ ! -e "$part" ] || cat "${part%00}"* | tar -x -C runs --skip-old-files
  done
}

archive() { # NAME [option...]: runs/NAME, without a moment in which there is none
  local name=$1
  shift
  tar "$@" -czf "runs/.$name.tar.gz" -C runs "$name"
  mv "runs/.$name.tar.gz" "$OUT/$name.tar.gz"
}

pack() { # FILE PATH: below runs/, in parts, since what comes back may be limited file by file
  rm -f "runs/.$1".tar.*
  tar -c -C runs "$2" | split --bytes 15M --numeric-suffixes - "runs/.$1.tar."
  rm -f "$OUT/$1".tar.*
  (cd runs && for part in ".$1".tar.*; do mv "$part" "$OUT/${part#.}"; done)
}

leave() { # NAME [GAME/METHOD...]: its records; what unfinished runs need to go on; encoders
  local name=$1 run file size
  local unwanted=(--exclude=checkpoints --exclude=encoder --exclude=tensorboard --exclude=.lock)
  shift
  [ -d "runs/$name" ] || return 0
  while read -r run; do # NAME/GAME/METHOD/seedK
    file=${run#"$name/"}
    file=$name--${file//\//-}
    if [ -e "runs/$run/results.json" ]; then
      rm -f "$OUT/$file-unfinished".tar.*
      run=${run#"$name/"}
      if [[ " $* " == *" ${run%/*} "* ]] && [ -d "runs/$name/$run/encoder" ]; then
        [ -e "$OUT/$file-encoder.tar.00" ] || pack "$file-encoder" "$name/$run/encoder"
      fi
      continue
    fi
    unwanted+=("--exclude=$run")
    [ -e "runs/$run/checkpoints/last.ckpt" ] || continue
    size=$(du -sm "runs/$run" | cut -f1)
    if [ "$size" -le "${KEEP:-100}" ]; then
      pack "$file-unfinished" "$run"
    else
      echo "$run will start over: it takes $size MB, and KEEP is ${KEEP:-100}"
    fi
  done < <(cd runs && find "$name" -type d -name 'seed*')
  archive "$name" "${unwanted[@]}" --exclude='*.log'
}

grid() { # NAME [option...] [-- GAME/METHOD...]: what is ready is left every EVERY seconds
  local name=$1 options=() saver
  shift
  while [ $# -gt 0 ] && [ "$1" != -- ]; do
    options+=("$1")
    shift
  done
  shift || true
  take_up "$name"
  (while sleep "${EVERY:-30}"; do leave "$name" "$@"; done > "runs/$name.leave.log" 2>&1) &
  saver=$!
  until_end python3 -m lightning_stdim benchmark --out "runs/$name" --preset "$preset" \
    "${options[@]}"
  kill "$saver"
  wait "$saver" 2> /dev/null || true
  leave "$name" "$@"
}

measure() { # NAME SCRIPT [option...]: its record, in runs/NAME, unless there is one
  local name=$1 script=$2
  shift 2
  if [ -e "runs/$name/$script-gpu.json" ] || [ -e "results/benchmarks/$name/$script-gpu.json" ]; then
    echo "there is a record of $script in $name"
    return
  fi
  mkdir -p "runs/$name"
  until_end python3 "benchmarks/$script.py" "$@" --out "runs/$name/$script-gpu.json"
  archive "$name"
}

item=${1:?name an item}
shift
short=(--methods "majority,random-cnn,st-dim,supervised" --jobs 4)
protocols=(--protocols "paper,converged,challenge")
case $item in
  first) # the speed in short, then Pong
    take_up "gpu-short$dry"
    # shellcheck disable=SC2046  # options are words
    most=60 measure "gpu-short$dry" floors --steps 5000 --repeats 3 $(least --repeats 1)
    # shellcheck disable=SC2046
    most=40 measure "gpu-short$dry" step --repeats 7 --frames 5000 $(least --repeats 1 --frames 200)
    # shellcheck disable=SC2046
    most=60 measure "gpu-short$dry" probing --device $device $(least --steps 6000)
    grid "paper-gpu$dry" --games pong "${short[@]}" "${protocols[@]}" "$@" -- \
      pong/st-dim pong/supervised # whose encoders `factors` probes
    ;;
  ladder)
    grid "paper-gpu$dry" --games boxing,mspacman,demonattack,freeway,breakout "${short[@]}" \
      "${protocols[@]}" "$@"
    ;;
  speed) # the scripts named, or all
    take_up "gpu-speed$dry"
    for script in floors methods step probing memory; do
      options=
      [ $# -eq 0 ] || [[ " $* " == *" $script "* ]] || continue
      case $script in
        floors) options=$(least --steps 2500 --repeats 1) ;;
        methods) options=$(least --methods st-dim,vae --repeats 1) ;;
        step) options=$(least --frames 200 --repeats 1) ;;
        probing) options="--device $device $(least --steps 6000)" ;;
        memory) options=$(least --steps 5000 --batches 2) ;;
      esac
      # shellcheck disable=SC2086  # options are words
      measure "gpu-speed$dry" "$script" $options
    done
    ;;
  trainings)
    # shellcheck disable=SC2046
    until_end python3 benchmarks/trainings.py $(least --steps 5000 --probe-steps 6000 --epochs 1) \
      --out "$OUT/trainings-gpu.json" "$@"
    ;;
  pong)
    grid "paper-gpu$dry" --games pong --methods all --jobs 4 "${protocols[@]}" "$@" -- \
      pong/st-dim pong/supervised
    ;;
  games)
    grid "paper-gpu$dry" --games all "${short[@]}" "${protocols[@]}" "$@"
    ;;
  factors)
    take_up "paper-gpu$dry"
    take_up "factors-gpu$dry"
    mkdir -p "runs/factors-gpu$dry"
    # shellcheck disable=SC2046
    until_end python3 studies/probe_factors.py --runs "runs/paper-gpu$dry" --probe-steps 50000 \
      --device $device $(least --probe-steps 6000 --seeds 1) --out "runs/factors-gpu$dry" "$@"
    leave "factors-gpu$dry"
    ;;
  attempts)
    # shellcheck disable=SC2046
    until_end python3 benchmarks/attempts.py $(least --repeats 1) --out "$OUT/attempts-gpu.json" "$@"
    ;;
  packing)
    # shellcheck disable=SC2046
    until_end python3 benchmarks/packing.py --bf16 --runs 2,4,8 $(least --runs 2 --seconds 1) \
      --out "$OUT/packing-gpu.json" "$@"
    ;;
  tests) # but those of extras that the machine lacks
    {
      python3 -c 'import torch; print("PyTorch", torch.__version__, torch.cuda.is_available())'
      # shellcheck disable=SC2046
      until_end python3 -m pytest -n 8 -v --no-header -rfEs --continue-on-collection-errors \
        $(least -n 0 tests/utils) "$@"
    } 2>&1 | tee "$OUT/tests-gpu.txt"
    ;;
  devices)
    count=$(python3 -c 'import torch; print(torch.cuda.device_count())')
    if [ -z "$dry" ] && [ "$count" -lt 2 ]; then
      echo "this item compares two GPUs with one; here: $count" >&2
      exit 1
    fi
    # shellcheck disable=SC2046
    until_end python3 studies/devices.py $(least --accelerator cpu --steps 3) \
      --out "$OUT/devices-gpu.json" "$@"
    # shellcheck disable=SC2046
    until_end python3 benchmarks/scaling.py --ranks 1,2 $(least --steps 1 --rounds 1) \
      --out "$OUT/scaling-gpu.json"
    ;;
  *)
    echo "there is no item $item: first, ladder, speed, trainings, pong, games, factors, attempts," \
      "packing, tests or devices" >&2
    exit 2
    ;;
esac
