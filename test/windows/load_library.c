// Loads the library as Godot does and asks for its entry symbol: exits with 0
// when both are there. usage: load_library.exe <path of the .dll>
#include <stdio.h>
#include <windows.h>

int main(int count, char **arguments) {
  HMODULE library = count == 2 ? LoadLibraryA(arguments[1]) : NULL;
  if (library == NULL) {
    fprintf(stderr, "LoadLibrary failed with error %lu\n", GetLastError());
    return 1;
  }
  if (GetProcAddress(library, "gdext_rust_init") == NULL) {
    fprintf(stderr, "there is no gdext_rust_init\n");
    return 2;
  }
  return 0;
}
