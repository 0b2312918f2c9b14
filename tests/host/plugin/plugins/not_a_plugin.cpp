// Shared objects that export something else than an ipcs_plugin.
#if defined(FUNCTION)
extern "C" __attribute__((visibility("default"))) void ipcs_content_store_v1() {}
#elif defined(SMALL_OBJECT)
extern "C" __attribute__((visibility("default"))) int ipcs_content_store_v1;
int ipcs_content_store_v1 = 7;
#else
extern "C" __attribute__((visibility("default"))) int something_else() { return 7; }
#endif
