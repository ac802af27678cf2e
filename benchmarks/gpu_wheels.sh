#!/usr/bin/env bash
# Fill .whl/ with the wheels that the GPU queue's machine lacks, in the versions of constraints.txt:
#
#     bash benchmarks/gpu_wheels.sh [VERSION OF PYTHON]    # 3.12 by default
#
# hdf5plugin is 46 MB, most of it filters that no file of ours uses; all but Zstandard's are taken out
# of its wheel, so that the wheels can be sent together with the checkout.
set -euo pipefail
cd "$(dirname "$0")/.."
lacking="ale-py|docstring_parser|Farama-Notifications|gymnasium|hdf5plugin|jsonargparse"
lacking="$lacking|typeshed_client|zstandard"
folder=${WHEELS:-.whl}
rm -rf "$folder"
platforms=()
for glibc in 2_17 2_24 2_27 2_28; do platforms+=(--platform "manylinux_${glibc}_x86_64"); done
grep -E "^($lacking)==" constraints.txt | xargs python3 -m pip download --quiet --no-deps \
  --only-binary :all: --implementation cp --python-version "${1:-3.12}" "${platforms[@]}" \
  --platform manylinux2014_x86_64 --dest "$folder"
python3 - "$folder"/hdf5plugin-*.whl << 'PYTHON'
import os
import re
import sys
import zipfile

path = sys.argv[1]
with zipfile.ZipFile(path) as full, zipfile.ZipFile(f"{path}.part", "w", zipfile.ZIP_DEFLATED) as less:
    for entry in full.infolist():
        content = full.read(entry)
        if entry.filename == "hdf5plugin/_config.py":  # or it would miss the others, and say so
            content = re.sub(rb"('embedded_filters': )\(.*?\)", rb"\1('zstd',)", content)
        if not entry.filename.endswith(".so") or "zstd" in entry.filename:
            less.writestr(entry, content)
os.replace(f"{path}.part", path)
PYTHON
du -sh "$folder"
