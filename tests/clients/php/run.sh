#!/usr/bin/env bash
# PHP's drivers (mysqlnd): mysqli, PDO with server-side and with emulated prepares.
#   run.sh --drivers | --install | --version DRIVER | DRIVER
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../support/provision.sh"

case ${1:?} in
--drivers) echo mysqli pdo pdo-emulated ;;
--install)
    need_command php php-cli php-mysql
    php -m | grep -q pdo_mysql || install_packages php-mysql
    ;;
--version) php -r 'echo "PHP ", PHP_VERSION, "\n";' ;;
*) exec php -d memory_limit=1G "$here/client.php" "$1" ;;
esac
