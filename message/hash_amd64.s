#include "textflag.h"

// Weights of characters in pairs, of pairs in fours, of fours in sixteen.
DATA pairs<>+0(SB)/8, $0x011f011f011f011f
DATA pairs<>+8(SB)/8, $0x011f011f011f011f
GLOBL pairs<>(SB), RODATA|NOPTR, $16

DATA fours<>+0(SB)/8, $0x000103c1000103c1
DATA fours<>+8(SB)/8, $0x000103c1000103c1
GLOBL fours<>(SB), RODATA|NOPTR, $16

DATA sixteen<>+0(SB)/4, $4001564289 // 31^12
DATA sixteen<>+4(SB)/4, $2487512833 // 31^8
DATA sixteen<>+8(SB)/4, $923521     // 31^4
DATA sixteen<>+12(SB)/4, $1
GLOBL sixteen<>(SB), RODATA|NOPTR, $16

// At a distance of n, a mask of the last n of sixteen characters.
DATA last<>+0(SB)/8, $0
DATA last<>+8(SB)/8, $0
DATA last<>+16(SB)/8, $0xffffffffffffffff
DATA last<>+24(SB)/8, $0xffffffffffffffff
GLOBL last<>(SB), RODATA|NOPTR, $32

// func hashLong(h uint32, p *byte, n int, powers *[17]uint32) (sum uint32, ok bool)
//
// Sixteen characters become four hashes of four: these are lanes, each of which takes what comes by 31^16. h begins in the last.
TEXT ·hashLong(SB), NOSPLIT, $0-37
	MOVL   h+0(FP), AX
	MOVQ   p+8(FP), SI
	MOVQ   n+16(FP), CX
	MOVL   AX, X0
	PSHUFD $0x15, X0, X0 // h into the last lane, zeros into the others
	PXOR   X3, X3        // all characters joined
	MOVQ   powers+24(FP), DI
	MOVOU  pairs<>(SB), X4
	MOVOU  fours<>(SB), X5
	MOVL   64(DI), X6    // 31^16
	PSHUFD $0, X6, X6

next:
	MOVOU     (SI), X1
	POR       X1, X3
	PMADDUBSW X4, X1
	PMADDWL   X5, X1
	PMULLD    X6, X0
	PADDL     X1, X0
	ADDQ      $16, SI
	SUBQ      $16, CX
	CMPQ      CX, $16
	JGE       next
	TESTQ     CX, CX
	JEQ       sum

	// The last sixteen again, of which those hashed already count as zeros.
	MOVOU     -16(SI)(CX*1), X1
	POR       X1, X3
	LEAQ      last<>(SB), DX
	MOVOU     (DX)(CX*1), X2
	PAND      X2, X1
	PMADDUBSW X4, X1
	PMADDWL   X5, X1
	MOVL      (DI)(CX*4), X6
	PSHUFD    $0, X6, X6
	PMULLD    X6, X0
	PADDL     X1, X0

sum:
	MOVOU    sixteen<>(SB), X4
	PMULLD   X4, X0
	PSHUFD   $0x4e, X0, X1
	PADDL    X1, X0
	PSHUFD   $0xb1, X0, X1
	PADDL    X1, X0
	MOVL     X0, AX
	MOVL     AX, sum+32(FP)
	PMOVMSKB X3, AX
	TESTL    AX, AX
	SETEQ    ok+36(FP)
	RET

// func hasSSE41() bool
TEXT ·hasSSE41(SB), NOSPLIT, $0-1
	MOVL $1, AX
	XORL CX, CX
	CPUID
	SHRL $19, CX
	ANDL $1, CX
	MOVB CX, ret+0(FP)
	RET
