# Brings database servers and the KMS emulator into a cache folder and runs them from there. Nothing
# is installed over the system: packages are downloaded by apt with lists and a cache of their own,
# unpacked with dpkg-deb, and run through their own dynamic loader. Sourced, not executed.
#
# SEALWIRE_CACHE   the cache folder, ~/.cache/sealwire by default; outside the repository

SEALWIRE_CACHE=${SEALWIRE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/sealwire}

say() { printf '%s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }

# Packages of the system that the scripts cannot do without: apt-get, as root or through sudo.
need_command() { # COMMAND PACKAGE...
    local command=$1
    shift
    type -P "$command" >/dev/null && return
    install_packages "$@"
    type -P "$command" >/dev/null || die "$command is still missing after installing $*"
}

install_packages() {
    say "installing $* with apt-get"
    local sudo=
    [ "$(id -u)" = 0 ] || sudo=sudo
    local log
    log=$(mktemp)
    { $sudo apt-get update && $sudo env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y --no-install-recommends "$@"; } >"$log" 2>&1 || {
        cat "$log" >&2
        die "apt-get could not install $*"
    }
    rm -f "$log"
}

# The Debian mirror that the system itself uses, from deb822 and one-line sources.
debian_mirror() {
    local mirror
    mirror=$(cat /etc/apt/sources.list.d/*.sources 2>/dev/null |
        awk 'tolower($1) == "uris:" { for (i = 2; i <= NF; i++) print $i }' |
        grep -E '/debian/?$' | head -n 1)
    [ -n "$mirror" ] || mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null |
        sed -n 's/^deb *\(\[[^]]*\] *\)\{0,1\}\([^ ]*\) .*/\2/p' | grep -E '/debian/?$' | head -n 1)
    [ -n "$mirror" ] || die "no Debian mirror in the system's apt sources"
    printf '%s\n' "$mirror"
}

# debian SUITE FOLDER ARGUMENT...: apt-get for a suite of Debian, with lists, sources and a cache of its own below the
# folder; what the system knows and has plays no part.
debian() {
    local suite=$1 apt=$2
    shift 2
    if [ ! -e "$apt/sources.list" ]; then
        mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
        : >"$apt/status"
        printf '%s [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n' \
            deb "$(debian_mirror)" "$suite" deb-src "$(debian_mirror)" "$suite" >"$apt/sources.list"
    fi
    local options=(
        -o Dir::State="$apt" -o Dir::State::lists="$apt/lists" -o Dir::State::status="$apt/status"
        -o Dir::Cache="$apt/cache" -o Dir::Etc::sourcelist="$apt/sources.list"
        -o Dir::Etc::sourceparts=- -o Dir::Etc::preferencesparts=- -o Dir::Etc::preferences=-
        -o APT::Sandbox::User="$(id -un)" -o APT::Default-Release= -o Acquire::Languages=none
        -o Acquire::Check-Valid-Until=false # a mirror that lags serves test servers as well
        -o Debug::NoLocking=1 -qq
    )
    apt-get "${options[@]}" "$@"
}

# unpack_packages SUITE NAME PACKAGE...: the packages and what they depend on, in $SEALWIRE_CACHE/NAME.
# A finished folder is kept; two runs at once wait for each other.
unpack_packages() {
    local suite=$1 name=$2
    shift 2
    local root=$SEALWIRE_CACHE/$name
    [ -e "$root/complete" ] && return
    command -v apt-get >/dev/null || die "$name comes from Debian packages, and there is no apt-get here"
    mkdir -p "$SEALWIRE_CACHE"
    (
        flock 9
        [ -e "$root/complete" ] && exit
        say "fetching $* from Debian $suite into $root"
        local apt=$SEALWIRE_CACHE/apt-$suite log=$SEALWIRE_CACHE/$name.log
        rm -rf "$root" "$apt"
        mkdir -p "$root"
        { debian "$suite" "$apt" update &&
            debian "$suite" "$apt" install -y --no-install-recommends --download-only "$@"; } \
            >"$log" 2>&1 || {
            cat "$log" >&2
            die "could not fetch $* from $suite"
        }
        local package
        for package in "$apt"/cache/archives/*.deb; do
            case ${package##*/} in
            perl* | libperl* | debconf* | libc-gconv*) continue ;;
            esac
            dpkg-deb -x "$package" "$root" || die "could not unpack $package"
        done
        rm -rf "$apt"
        touch "$root/complete"
    ) 9>"$SEALWIRE_CACHE/lock" || exit 1
}

# unpack_source SUITE NAME PACKAGE: the upstream source of a package, in $SEALWIRE_CACHE/NAME.
unpack_source() {
    local suite=$1 name=$2 package=$3
    local root=$SEALWIRE_CACHE/$name
    [ -e "$root/complete" ] && return
    mkdir -p "$SEALWIRE_CACHE"
    (
        flock 9
        [ -e "$root/complete" ] && exit
        say "fetching the source of $package from Debian $suite into $root"
        local apt=$SEALWIRE_CACHE/apt-source-$suite log=$SEALWIRE_CACHE/$name.log
        rm -rf "$root" "$apt"
        mkdir -p "$root"
        { debian "$suite" "$apt" update && cd "$apt" &&
            debian "$suite" "$apt" source --download-only --tar-only "$package" &&
            tar -xf "$apt/$package"_*.orig.tar.* -C "$root" --strip-components=1; } >"$log" 2>&1 || {
            cat "$log" >&2
            die "could not fetch the source of $package from $suite"
        }
        rm -rf "$apt"
        touch "$root/complete"
    ) 9>"$SEALWIRE_CACHE/lock" || exit 1
}

# The codename of this system's release of Debian.
debian_release() { sed -n 's/^VERSION_CODENAME=//p' /etc/os-release; }

# run_unpacked NAME PROGRAM ARGUMENT...: a program of an unpacked folder (path below it), through the
# folder's own dynamic loader, in place of this shell.
run_unpacked() {
    local root=$SEALWIRE_CACHE/$1 program=$2
    shift 2
    local loader libraries= folder
    for loader in "$root"/usr/lib64/ld-linux*.so* "$root"/lib64/ld-linux*.so* \
        "$root"/usr/lib/ld-linux*.so* "$root"/lib/ld-linux*.so* "$root"/usr/lib/*/ld-linux*.so* \
        "$root"/lib/*/ld-linux*.so*; do
        [ -f "$loader" ] && break
    done
    [ -f "$loader" ] || die "no dynamic loader below $root"
    for folder in "$root"/usr/lib/*-linux-gnu* "$root"/lib/*-linux-gnu* "$root"/usr/lib "$root"/lib \
        "$root"/usr/lib/mysql/private; do
        [ -d "$folder" ] && libraries=$libraries:$folder
    done
    exec "$loader" --library-path "${libraries#:}" --argv0 "$root/$program" "$root/$program" "$@"
}

# MariaDB 10.11: the system's own when it is that version, else unpacked from Debian 12.
provision_mariadb() {
    MARIADB_UNPACKED=
    MARIADB_ROOT=
    local program
    program=$(PATH=$PATH:/usr/sbin type -P mariadbd) || program=
    if [ -n "$program" ] && type -P mariadb >/dev/null && "$program" --no-defaults --version | grep -q ' 10\.11\.'; then
        return
    fi
    unpack_packages bookworm mariadb-10.11 mariadb-server mariadb-client-core
    MARIADB_UNPACKED=mariadb-10.11
    MARIADB_ROOT=$SEALWIRE_CACHE/mariadb-10.11
}

mariadbd() {
    if [ -n "$MARIADB_UNPACKED" ]; then
        run_unpacked "$MARIADB_UNPACKED" usr/sbin/mariadbd "$@"
    else
        PATH=$PATH:/usr/sbin exec mariadbd "$@"
    fi
}

# The command-line client that comes with the server.
mariadb_client() (
    if [ -n "$MARIADB_UNPACKED" ]; then
        run_unpacked "$MARIADB_UNPACKED" usr/bin/mariadb --no-defaults \
            --plugin-dir="$(echo "$MARIADB_ROOT"/usr/lib/*/libmariadb3/plugin)" "$@"
    else
        exec mariadb --no-defaults "$@"
    fi
)

# MariaDB 11.8, always unpacked: a second version beside the system's.
provision_mariadb118() { unpack_packages sid mariadb-11.8 mariadb-server mariadb-client-core; }
mariadbd118() { run_unpacked mariadb-11.8 usr/sbin/mariadbd "$@"; }

provision_mysql() { unpack_packages sid mysql-9.7 mysql-server-core; }
mysqld() { run_unpacked mysql-9.7 usr/sbin/mysqld "$@"; }

# The command-line client of that version.
provision_mysql_client() { unpack_packages sid mysql-client-9.7 mysql-client-core; }
mysql_client() ( run_unpacked mysql-client-9.7 usr/bin/mysql --no-defaults "$@" )

# python_environment NAME PACKAGE...: the packages from PyPI in a virtual environment, $SEALWIRE_CACHE/NAME.
python_environment() {
    local name=$1
    shift
    local root=$SEALWIRE_CACHE/$name
    [ -e "$root/complete" ] && return
    mkdir -p "$SEALWIRE_CACHE"
    (
        flock 9
        [ -e "$root/complete" ] && exit
        say "fetching $* into $root"
        rm -rf "$root"
        need_command python3 python3 python3-venv
        python3 -m venv "$root" >/dev/null 2>&1 || {
            install_packages python3 python3-venv
            rm -rf "$root"
            python3 -m venv "$root" || die "python3 cannot make virtual environments"
        }
        "$root/bin/pip" install --quiet "$@" >&2 || die "pip could not install $*"
        touch "$root/complete"
    ) 9>"$SEALWIRE_CACHE/lock-$name" || exit 1
}

# python_source ENVIRONMENT NAME PACKAGE==VERSION: the source that a package has on PyPI, in $SEALWIRE_CACHE/NAME.
python_source() {
    local environment=$1 name=$2 package=$3
    local root=$SEALWIRE_CACHE/$name
    [ -e "$root/complete" ] && return
    (
        flock 9
        [ -e "$root/complete" ] && exit
        say "fetching the source of $package into $root"
        rm -rf "$root" "$root.download"
        mkdir -p "$root"
        "$SEALWIRE_CACHE/$environment/bin/pip" download --quiet --no-deps --no-binary :all: \
            --dest "$root.download" "$package" >&2 || die "pip could not download the source of $package"
        tar -xf "$root.download"/*.tar.gz -C "$root" --strip-components=1 || die "could not unpack $package"
        rm -rf "$root.download"
        touch "$root/complete"
    ) 9>"$SEALWIRE_CACHE/lock-$name" || exit 1
}

# The KMS emulator, moto.
provision_moto() { python_environment moto 'moto[server]'; }

# cfn-lint and a parser of Terraform's language.
provision_deploy_tools() { python_environment deploy-tools cfn-lint python-hcl2; }

# A free loopback port below the range the kernel hands out to clients.
free_port() {
    local port
    while :; do
        port=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
    done
    printf '%s\n' "$port"
}

# wait_for SECONDS PID WHAT CONDITION...: until the command succeeds; fails when the process ends first.
wait_for() {
    local deadline=$((SECONDS + $1)) pid=$2 what=$3
    shift 3
    until "$@" 2>/dev/null; do
        kill -0 "$pid" 2>/dev/null || { say "$what ended while starting"; return 1; }
        [ $SECONDS -lt $deadline ] || { say "$what did not start in time"; return 1; }
        sleep 0.1
    done
}

# Ends processes that these scripts started, and waits until they are gone. Their data is thrown away,
# so that who takes longer than five seconds is killed.
end_processes() { # PID...
    local pid i
    for pid in "$@"; do kill "$pid" 2>/dev/null || true; done
    for pid in "$@"; do
        for i in $(seq 50); do
            kill -0 "$pid" 2>/dev/null || break
            sleep 0.1
        done
        kill -9 "$pid" 2>/dev/null || true
    done
}
