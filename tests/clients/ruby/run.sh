#!/usr/bin/env bash
# Ruby's mysql2, in Debian's build on MariaDB Connector/C.
#   run.sh --drivers | --install | --version DRIVER | DRIVER
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../support/provision.sh"

case ${1:?} in
--drivers) echo mysql2 ;;
--install) ruby -rmysql2 -e '' 2>/dev/null || install_packages ruby ruby-mysql2 ;;
--version) ruby -rmysql2 -e 'puts "mysql2 #{Mysql2::VERSION}"' ;;
*) exec ruby "$here/client.rb" ;;
esac
