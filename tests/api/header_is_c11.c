/* The ABI header is plain C11, with and without the symbol's declaration; this file only has to compile. */
#define IPCS_BUILD_PLUGIN
#include "ipcs/content_store.h"
#include "ipcs/extensions.h"

_Static_assert(IPCS_KEY_MAX <= IPCS_NAME_MAX, "an entry holds any key");
_Static_assert(sizeof("sha512:") - 1 + 128 <= IPCS_NAME_MAX, "an entry holds any digest");
_Static_assert(sizeof(ipcs_code) <= sizeof(int32_t), "a code fits what functions return");
