package testproc

// DeliveryEnv is the environment variable that chooses how faults reach the profilers of tests, thread or signal, so
// that every test can be run with each.
const DeliveryEnv = "FIRSTTOUCH_TEST_DELIVERY"
