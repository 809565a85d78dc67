#!/usr/bin/env bash
# Node's drivers from npm: mysql2 and mariadb.
#   run.sh --drivers | --install | --version DRIVER | DRIVER
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../support/provision.sh"
modules=$SEALWIRE_CACHE/clients-node

case ${1:?} in
--drivers) echo mysql2 mariadb ;;
--install)
    [ -d "$modules/node_modules/mysql2" ] && [ -d "$modules/node_modules/mariadb" ] && exit
    need_command node nodejs npm
    need_command npm npm
    mkdir -p "$modules"
    npm install --prefix "$modules" --no-audit --no-fund --ignore-scripts --loglevel=error mysql2@3.24 mariadb@3.5 >&2
    ;;
--version) node -p "'$2 ' + require('$modules/node_modules/$2/package.json').version" ;;
*) NODE_PATH=$modules/node_modules exec node "$here/client.js" "$1" ;;
esac
