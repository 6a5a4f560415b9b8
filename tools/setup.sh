#!/usr/bin/env bash
# Sets up a checkout: the system packages that are missing, and .venv with the
# `conductor` command. Safe to run again: what is there is left alone, and the
# second run ends at once. It asks nothing; packages are installed as root, or
# through sudo, after saying which.
set -euo pipefail
cd "$(dirname "$0")/.."

list=tools/packages.txt
stamp=.venv/.setup-stamp      # what .venv was made from
refused=.venv/.not-available  # packages that this system does not have

say() { printf 'setup: %s\n' "$*"; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }

installed() { # PACKAGE COMMAND-OR-FILE
    [[ $(dpkg-query -W -f '${Status}' "$1" 2>/dev/null) == *' installed' ]] && return
    [[ $2 == /* && -e $2 ]] || { [[ $2 != - ]] && PATH=$PATH:/usr/sbin:/sbin command -v "$2" >/dev/null; }
}

# Sets `missing` and `optional` to what is not there, but for what was not to be had before.
find_missing() {
    missing=() optional=()
    local mark package other
    while read -r mark package other; do
        [[ $mark == '' || $mark == '#'* ]] && continue
        [[ $mark == '?' ]] || { other=$package package=$mark mark=; }
        installed "$package" "$other" && continue
        if [[ $mark == '?' ]]; then
            grep -qsx "$package" "$refused" || optional+=("$package")
        else
            missing+=("$package")
        fi
    done <"$list"
}

apt() {
    local -a command=(env DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1
        apt-get -q -o DPkg::Lock::Timeout=120 "$@")
    if [[ $EUID -ne 0 ]]; then
        command -v sudo >/dev/null || die "this needs root, or sudo, which is not here: apt-get $*"
        # Without a terminal nobody could type a password, so sudo must not ask for one.
        if [[ -t 0 && -z ${CI:-} ]]; then command=(sudo "${command[@]}"); else command=(sudo -n "${command[@]}"); fi
    fi
    "${command[@]}" </dev/null
}

has_candidate() {
    local policy
    policy=$(LC_ALL=C apt-cache policy "$1")
    [[ $policy == *'Candidate: '* && $policy != *'Candidate: (none)'* ]]
}

install_packages() {
    local package
    local -a all=("${missing[@]}" "${optional[@]}")
    say "installing with apt-get: ${all[*]}"
    apt update >/dev/null || say "apt-get update failed; going on with the package lists that are here"
    [[ ${#missing[@]} -eq 0 ]] || install "${missing[@]}" || die "apt-get could not install: ${missing[*]}"
    for package in "${optional[@]}"; do
        if ! has_candidate "$package"; then
            unavailable+=("$package")
            say "this system has no package $package; going on without it"
        elif ! install "$package"; then
            say "apt-get could not install $package; going on without it"
        elif [[ $package == caddy && -d /run/systemd/system ]]; then
            say "Debian's package starts caddy.service, on port 80; Conductor does not use that one"
        fi
    done
}

install() {
    apt install --yes --no-install-recommends "$@" >/dev/null
}

# Sets `python` to a Python that is new enough. The distribution's own comes first: it is
# built with profile-guided optimisation, and the manager is half as fast again for it.
choose_python() {
    for python in /usr/bin/python3 python3 python3.11 python3.12 python3.13; do
        "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && return
    done
    die "Python 3.11 or newer is needed and not here; install python3.11, python3.11-venv and python3.11-dev (or a newer one), and run this again"
}

make_venv() {
    .venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && return
    choose_python
    say "making .venv with $("$python" --version)"
    "$python" -m venv --clear .venv ||
        die "$python cannot make a virtual environment; install the package ${python##*/}-venv and run this again"
}

unavailable=()
if command -v dpkg-query >/dev/null && command -v apt-get >/dev/null; then
    find_missing
    [[ ${#missing[@]} -eq 0 && ${#optional[@]} -eq 0 ]] || install_packages
else
    say "this is no Debian or Ubuntu; see $list for what must be installed by hand"
fi

made_from=$(sha256sum pyproject.toml tools/setup.sh)
if [[ ! -x .venv/bin/conductor || $(cat "$stamp" 2>/dev/null) != "$made_from" ]]; then
    make_venv
    say "installing Conductor and its libraries into .venv"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input --editable '.[dev]' ||
        die "pip could not install Conductor; its message is above"
    printf '%s\n' "$made_from" >"$stamp"
fi
[[ ${#unavailable[@]} -eq 0 ]] || printf '%s\n' "${unavailable[@]}" >>"$refused"
say "ready: .venv/bin/conductor"
