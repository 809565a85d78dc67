#!/usr/bin/env bash
# Laravel's Eloquent (Debian's php-laravel-framework): a model with `password` and `client_secret`, with emulated
# and with server-side prepares.
#   run.sh --drivers | --install | --version DRIVER | DRIVER
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../support/provision.sh"

case ${1:?} in
--drivers) echo eloquent eloquent-emulated ;;
--install)
    [ -e /usr/share/php/Illuminate/Database/autoload.php ] || install_packages php-cli php-mysql php-laravel-framework
    ;;
--version) dpkg-query -W -f 'Laravel ${Version}\n' php-laravel-framework ;;
*) exec php -d memory_limit=1G "$here/client.php" "$1" ;;
esac
