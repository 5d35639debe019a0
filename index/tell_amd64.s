//go:build !race

#include "textflag.h"
#include "go_asm.h"

// func tell(count *atomic.Int32, b *byte, keys []keyPlace, from int32)
TEXT ·tell(SB), NOSPLIT, $0-44
	MOVQ count+0(FP), AX
	MOVQ b+8(FP), DI
	MOVQ keys_base+16(FP), SI
	MOVQ keys_len+24(FP), CX
	MOVL from+40(FP), BX
	LEAL (BX)(CX*1), DX
	MOVL DX, (AX)

next:
	SUBQ  $1, CX
	JLT   done
	MOVL  BX, DX
	BSWAPL DX
	MOVQ  keyPlace_slot(SI), R8
	MOVL  DX, (DI)(R8*1)
	ADDL  $1, BX
	ADDQ  $keyPlace__size, SI
	JMP   next

done:
	RET
