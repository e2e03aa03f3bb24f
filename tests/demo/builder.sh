# The builder of the demo: three phases with a little output, then the output path.
set -eu

phase() {
  echo "@nix { \"action\": \"setPhase\", \"phase\": \"$1\" }" >&2
  echo "Running phase: $1"
}

# A sandbox may hold no program but the shell. Without sleep, turn round for about as long.
pause() {
  [ "$tenths" -eq 0 ] || sleep "$((tenths / 10)).$((tenths % 10))" 2>/dev/null || {
    i=0
    while [ "$i" -lt "$((tenths * 30000))" ]; do i=$((i + 1)); done
  }
}

phase configurePhase
echo "checking for the inputs of $name... ${inputs:-none}"
pause

phase buildPhase
for unit in main options output; do
  echo "cc -O2 -c src/$unit.c -o build/$unit.o"
done
pause
if [ "$fail" -ne 0 ]; then
  echo "src/lexer.c:41:9: error: implicit declaration of function 'next_token'" >&2
  echo "   41 |   tok = next_token(lexer);" >&2
  echo "      |         ^~~~~~~~~~" >&2
  echo "make: *** [Makefile:12: build/lexer.o] Error 1" >&2
  exit "$fail"
fi

phase installPhase
pause
echo "$name" > "$out"
