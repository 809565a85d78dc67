#!/usr/bin/env bash
# What applications send, judged: `make goal`. Runs a Django application, a Laravel one, WordPress and plain reading
# and writing against servers that log their statements, then `sealwire explain --log` over the logs. See goal.py.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. tests/support/provision.sh
need_command python3 python3 python3-venv
venv=$SEALWIRE_CACHE/goal
if [ ! -e "$venv/complete" ]; then
    say "fetching Django and database drivers into $venv"
    rm -rf "$venv"
    python3 -m venv "$venv" >/dev/null 2>&1 || { install_packages python3 python3-venv; python3 -m venv "$venv"; }
    "$venv/bin/pip" install --quiet django pymysql cryptography mysql-connector-python pyyaml
    touch "$venv/complete"
fi
[ -e /usr/share/php/Illuminate/Database/autoload.php ] && php -m | grep -qx mbstring ||
    install_packages php-cli php-mysql php-mbstring php-xml php-laravel-framework
# WordPress is unpacked, not installed: the package would bring a web server.
wordpress=$SEALWIRE_CACHE/wordpress
if [ ! -e "$wordpress/complete" ]; then
    say "fetching WordPress into $wordpress"
    rm -rf "$wordpress"
    mkdir -p "$wordpress/packages"
    # Readable by apt's own user, as whom it downloads.
    download=$(mktemp -d)
    chmod 755 "$download"
    (cd "$download" && { apt-get download -qq wordpress 2>/dev/null || { apt-get update -qq && apt-get download -qq wordpress; }; })
    dpkg-deb -x "$download"/wordpress_*.deb "$wordpress"
    rm -rf "$download" "$wordpress/packages" "$wordpress/usr/share/wordpress/wp-config.php"
    touch "$wordpress/complete"
fi
cargo build --locked --bins
judge=("$venv/bin/python" tests/goal/goal.py
    "crud=[\"$venv/bin/python\", \"crud.py\"]"
    'laravel=["php", "laravel.php"]'
    "django=[\"$venv/bin/python\", \"django_app.py\"]"
    "wordpress=[\"php\", \"wordpress.php\", \"$wordpress/usr/share/wordpress\"]")
if [ -n "${SEALWIRE_TEST_SERVERS:-}" ]; then exec "${judge[@]}"; fi
SEALWIRE_TEST_ONLY="mariadb mysql" exec tests/support/servers.sh run "${judge[@]}"
