#pragma once

// Compiles a function once for AVX-512, once for AVX2 with FMA and once for any x86-64. Elsewhere
// (NEON) the compiler's baseline has vectors of its own, and under a sanitizer there is one
// version, as the choice between them is made before the sanitizer is ready.
#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(DISTILL_SANITIZED)
#define VERSIONS __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define VERSIONS
#endif
