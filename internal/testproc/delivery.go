package testproc

// DeliveryEnv is the environment variable that chooses how faults reach the profilers of tests, thread or signal, so
// that every test can be run with each.
const DeliveryEnv = "FIRSTTOUCH_TEST_DELIVERY"

// WithoutGuardsEnv has delivery by signal take the access to files away as on kernels that have no guard markers for them.
const WithoutGuardsEnv = "FIRSTTOUCH_TEST_WITHOUT_GUARDS"

// WithoutUserfaultfdEnv has delivery by signal work as where no userfaultfd can be had.
const WithoutUserfaultfdEnv = "FIRSTTOUCH_TEST_WITHOUT_USERFAULTFD"
