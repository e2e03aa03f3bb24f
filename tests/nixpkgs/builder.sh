# The builder of the stand-in for nixpkgs: the phases of a Rust package with the host's cargo, offline, in the dev profile.
# shellcheck shell=bash

# Nix starts /bin/sh, phases of nixpkgs are bash.
if [ -z "${BASH_VERSION-}" ]; then
  case ${PATH-} in
    '' | /path-not-set)
      echo "the stand-in runs the host's cargo and must be told its place: nix build --impure" >&2
      exit 1
      ;;
  esac
  exec bash "$0"
fi
set -euo pipefail

# nixpkgs' own refuse an empty file, too: a program that failed to print its completions would go unnoticed.
installFile() {
  local file=$1 to=$2
  if ! [ -s "$file" ]; then
    echo "$file is missing or empty" >&2
    return 1
  fi
  mkdir -p "${to%/*}"
  cp "$file" "$to"
}

installShellCompletion() {
  local file name
  for file; do
    name=${file##*/}
    case $file in
      *.bash) installFile "$file" "$out/share/bash-completion/completions/$name" ;;
      *.fish) installFile "$file" "$out/share/fish/vendor_completions.d/$name" ;;
      *.zsh) installFile "$file" "$out/share/zsh/site-functions/_${name%.zsh}" ;;
      *)
        echo "installShellCompletion: which shell is $file for?" >&2
        return 1
        ;;
    esac
  done
}

installManPage() {
  local file
  for file; do
    installFile "$file" "$out/share/man/man${file##*.}/${file##*/}"
  done
}

if [ -n "${src-}" ]; then
  # Copied without the times of the store, which are all 1970: cargo would take its earlier result to be newer.
  cp -R "$src" source
  chmod -R u+w source
  cd source
fi

if [ -z "$dontBuild" ]; then
  eval "${buildPhase:-cargo build --quiet --offline --locked}"
fi
if [ -n "$doCheck" ]; then
  # shellcheck disable=SC2086 # a list of flags
  cargo test --quiet --offline --locked ${cargoTestFlags:-}
fi
eval "${installPhase:-cargo install --quiet --offline --locked --debug --no-track --path . --root \"$out\"}"
eval "${postInstall-}"
