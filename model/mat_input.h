/* model/mat_input.h - the forms of activations, for mat.c. Private to model/mat*.c
 * and their tests. */
#ifndef CARREL_MODEL_MAT_INPUT_H
#define CARREL_MODEL_MAT_INPUT_H
#include "model/mat_int.h"

const struct mat_x *mat_input_x(const struct mat_input *in);
/* Make the form, and the fix of MAT_I8, unless they are there. */
void mat_input_need(struct mat_input *in, struct team *team, enum mat_form form, enum mat_fix fix);
#endif
