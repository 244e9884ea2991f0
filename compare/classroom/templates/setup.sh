#!/usr/bin/env bash
# Once, when Gradescope makes the image. Choose Ubuntu 24.04 there: Python 3.11 is needed.
set -euo pipefail
apt-get update
apt-get install -y --no-install-recommends python3 python3-venv gcc libc6-dev nodejs util-linux
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  echo "this image has $(python3 --version), and 3.11 is needed: choose Ubuntu 24.04" >&2
  exit 1
}
id -u student >/dev/null 2>&1 || useradd --system --no-create-home student
python3 -m venv /opt/compare
install=(/opt/compare/bin/pip install --no-cache-dir --find-links /autograder/source/wheels)
# From the wheels of the bundle alone where they are all, else from a package index, too.
mkdir -p /autograder/source/wheels
"${install[@]}" --no-index "aionet-compare==@VERSION@" || "${install[@]}" "aionet-compare==@VERSION@"
# Whose programs are graded may read neither the course nor our own servers, good answers.
chmod -R go= /autograder/source
chmod go= /opt/compare
