/* SHA-256 (FIPS 180-4). Ten gigabytes of output are digested here and not sent, so it is worth using
 * the CPU's SHA instructions where there are any: about five times as fast as plain C. */
#include <string.h>

#include "wire.h"

static const uint32_t K[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t rotate(uint32_t value, int by) { return value >> by | value << (32 - by); }

static void transform_plain(uint32_t state[8], const unsigned char *data, size_t blocks)
{
    for (; blocks; blocks--, data += 64) {
        uint32_t w[64], s[8];
        for (int i = 0; i < 16; i++)
            w[i] = (uint32_t)data[4 * i] << 24 | (uint32_t)data[4 * i + 1] << 16 | (uint32_t)data[4 * i + 2] << 8 |
                   data[4 * i + 3];
        for (int i = 16; i < 64; i++) {
            uint32_t a = w[i - 15], b = w[i - 2];
            w[i] = w[i - 16] + (rotate(a, 7) ^ rotate(a, 18) ^ a >> 3) + w[i - 7] +
                   (rotate(b, 17) ^ rotate(b, 19) ^ b >> 10);
        }
        memcpy(s, state, sizeof s);
        for (int i = 0; i < 64; i++) {
            uint32_t one = s[7] + (rotate(s[4], 6) ^ rotate(s[4], 11) ^ rotate(s[4], 25)) +
                           ((s[4] & s[5]) ^ (~s[4] & s[6])) + K[i] + w[i];
            uint32_t two = (rotate(s[0], 2) ^ rotate(s[0], 13) ^ rotate(s[0], 22)) +
                           ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
            memmove(s + 1, s, 7 * sizeof *s);
            s[4] += one;
            s[0] = one + two;
        }
        for (int i = 0; i < 8; i++)
            state[i] += s[i];
    }
}

#ifdef __x86_64__
#include <cpuid.h>
#include <immintrin.h>

__attribute__((target("sha,sse4.1"))) static void transform_fast(uint32_t state[8], const unsigned char *data,
                                                                  size_t blocks)
{
    const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL);
    __m128i low = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)state), 0xB1);
    __m128i one = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(state + 4)), 0x1B);
    __m128i zero = _mm_alignr_epi8(low, one, 8);
    one = _mm_blend_epi16(one, low, 0xF0);
    for (; blocks; blocks--, data += 64) {
        __m128i w[4], was_zero = zero, was_one = one;
        for (int i = 0; i < 4; i++)
            w[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(data + 16 * i)), swap);
#pragma GCC unroll 16
        for (int i = 0; i < 16; i++) {
            __m128i rounds = _mm_add_epi32(w[i & 3], _mm_loadu_si128((const __m128i *)(K + 4 * i)));
            one = _mm_sha256rnds2_epu32(one, zero, rounds);
            zero = _mm_sha256rnds2_epu32(zero, one, _mm_shuffle_epi32(rounds, 0x0E));
            if (i < 12) {
                __m128i next = _mm_sha256msg1_epu32(w[i & 3], w[(i + 1) & 3]);
                next = _mm_add_epi32(next, _mm_alignr_epi8(w[(i + 3) & 3], w[(i + 2) & 3], 4));
                w[i & 3] = _mm_sha256msg2_epu32(next, w[(i + 3) & 3]);
            }
        }
        zero = _mm_add_epi32(zero, was_zero);
        one = _mm_add_epi32(one, was_one);
    }
    low = _mm_shuffle_epi32(zero, 0x1B);
    one = _mm_shuffle_epi32(one, 0xB1);
    _mm_storeu_si128((__m128i *)state, _mm_blend_epi16(low, one, 0xF0));
    _mm_storeu_si128((__m128i *)(state + 4), _mm_alignr_epi8(one, low, 8));
}

static int has_fast(void)
{
    unsigned a, b, c, d;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b & 1u << 29))
        return 0;
    return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_SSE4_1) && (c & bit_SSSE3);
}
#endif

static void transform(uint32_t state[8], const unsigned char *data, size_t blocks)
{
#ifdef __x86_64__
    static int fast = -1;
    if (fast < 0)
        fast = has_fast();
    if (fast) {
        transform_fast(state, data, blocks);
        return;
    }
#endif
    transform_plain(state, data, blocks);
}

void digest_begin(struct digest *digest)
{
    static const uint32_t start[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    memcpy(digest->state, start, sizeof start);
    digest->length = 0;
}

void digest_add(struct digest *digest, const unsigned char *data, size_t length)
{
    size_t held = digest->length % 64;
    digest->length += length;
    if (held) {
        size_t take = length < 64 - held ? length : 64 - held;
        memcpy(digest->block + held, data, take);
        data += take;
        length -= take;
        if (held + take < 64)
            return;
        transform(digest->state, digest->block, 1);
    }
    if (length / 64)
        transform(digest->state, data, length / 64);
    memcpy(digest->block, data + length / 64 * 64, length % 64);
}

void digest_end(struct digest *digest, unsigned char out[32])
{
    unsigned char last[128] = {0};
    size_t held = digest->length % 64, size = held < 56 ? 64 : 128;
    uint64_t bits = digest->length * 8;
    memcpy(last, digest->block, held);
    last[held] = 0x80;
    for (int i = 0; i < 8; i++)
        last[size - 1 - i] = (unsigned char)(bits >> 8 * i);
    transform(digest->state, last, size / 64);
    for (int i = 0; i < 32; i++)
        out[i] = (unsigned char)(digest->state[i / 4] >> (24 - 8 * (i % 4)));
}
