#!/usr/bin/env bash
# One item of the GPU queue (README.md), for a machine that is there for minutes and has no network:
#
#     OUT=records bash benchmarks/gpu_queue.sh ITEM [argument...]
#
# Records go to OUT. The script stops after LIMIT seconds (470 by default). What it could not finish
# goes on in the next call: on the same machine from runs/, on another one from the folder FROM (OUT by
# default), which holds what the earlier call left in its OUT. Packages that the machine lacks are
# taken from wheels in the folder WHEELS (.whl by default).
set -euo pipefail
FROM=$(realpath -m "${FROM:-${OUT:?name a folder for the records}}")
OUT=$(realpath -m "$OUT")
cd "$(dirname "$0")/.."
mkdir -p "$OUT" runs
end=$((SECONDS + ${LIMIT:-470}))
if compgen -G "${WHEELS:-.whl}/*.whl" > /dev/null; then
  python3 -m pip install --quiet --no-index --no-deps "${WHEELS:-.whl}"/*.whl
fi
export PYTHONPATH=$PWD PYTHONUNBUFFERED=1

until_end() { # COMMAND...: interrupted as by a Ctrl-C, with time left to write down where it was
  local left=$((end - SECONDS - 30))
  if [ "$left" -lt 1 ]; then # to `timeout`, 0 means forever
    echo "no time is left for $*"
    return
  fi
  # Even in the background of a shell, where interrupts are ignored.
  env --default-signal=INT timeout --signal INT --kill-after 30 "$left" "$@" ||
    echo "ended with status $?"
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

pack() { # FILE PATH: below runs/, in parts, since what comes back may be limited file by file
  rm -f "$OUT/$1".tar.*
  tar -c -C runs "$2" | split --bytes 15M --numeric-suffixes - "$OUT/$1.tar."
}

leave() { # NAME [METHOD...]: its records; what unfinished runs need to go on; methods' encoders
  local name=$1 run file size
  local unwanted=(--exclude=checkpoints --exclude=encoder --exclude=tensorboard --exclude=.lock)
  shift
  [ -d "runs/$name" ] || return 0
  while read -r run; do # NAME/GAME/METHOD/seedK
    file=${run#"$name/"}
    file=$name--${file//\//-}
    if [ -e "runs/$run/results.json" ]; then
      rm -f "$OUT/$file-unfinished".tar.*
      if [[ " $* " == *" $(basename "$(dirname "$run")") "* ]] && [ -d "runs/$run/encoder" ]; then
        pack "$file-encoder" "$run/encoder"
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
  tar "${unwanted[@]}" --exclude='*.log' -czf "$OUT/$name.tar.gz" -C runs "$name"
}

grid() { # NAME [option...]
  local name=$1
  shift
  take_up "$name"
  until_end python3 -m lightning_stdim benchmark --out "runs/$name" --preset paper "$@"
}

item=${1:?name an item}
shift
case $item in
  speed) # the scripts named, or those without a record
    for script in floors methods step "probing --device cuda" memory; do
      read -r name options <<< "$script"
      if [ $# -gt 0 ]; then
        [[ " $* " == *" $name "* ]] || continue
      elif [ -e "results/benchmarks/$name-gpu.json" ] || [ -e "$FROM/$name-gpu.json" ]; then
        echo "there is a record of $name; to repeat it, name it: speed $name"
        continue
      fi
      # shellcheck disable=SC2086  # options are words
      until_end python3 "benchmarks/$name.py" $options --out "$OUT/$name-gpu.json"
    done
    ;;
  trainings) until_end python3 benchmarks/trainings.py --out "$OUT/trainings-gpu.json" "$@" ;;
  attempts)
    until_end python3 benchmarks/attempts.py --out "$OUT/attempts-gpu.json" "$@"
    ;;
  packing)
    until_end python3 benchmarks/packing.py --bf16 --runs 2,4,8 --out "$OUT/packing-gpu.json" "$@"
    ;;
  pong)
    grid pong-paper --games pong --methods all --jobs 4 "$@"
    leave pong-paper st-dim supervised # whose encoders `factors` probes
    ;;
  games)
    grid games-paper --games all --methods majority,random-cnn,st-dim,supervised --jobs 4 "$@"
    leave games-paper
    ;;
  factors)
    take_up pong-paper
    take_up pong-factors-paper
    mkdir -p runs/pong-factors-paper
    until_end python3 studies/probe_factors.py --runs runs/pong-paper --probe-steps 50000 \
      --device cuda --out runs/pong-factors-paper "$@"
    leave pong-factors-paper
    ;;
  tests)
    {
      python3 -c 'import torch; print("PyTorch", torch.__version__, torch.cuda.get_device_name())'
      until_end python3 -m pytest -n 8 -v --no-header -rfEs "$@"
    } 2>&1 | tee "$OUT/tests-gpu.txt"
    ;;
  devices)
    count=$(python3 -c 'import torch; print(torch.cuda.device_count())')
    if [ "$count" -lt 2 ]; then
      echo "this item compares two GPUs with one; here: $count" >&2
      exit 1
    fi
    until_end python3 studies/devices.py --out "$OUT/devices-gpu.json" "$@"
    until_end python3 benchmarks/scaling.py --ranks 1,2 --out "$OUT/scaling-gpu.json"
    ;;
  *)
    echo "there is no item $item: speed, trainings, pong, games, factors, attempts, packing," \
      "tests or devices" >&2
    exit 2
    ;;
esac
