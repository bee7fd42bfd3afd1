// Plain double arithmetic with the outputs of the integer kernel: what the benchmarks divide by.
#ifndef NOVATE_REFERENCE_H
#define NOVATE_REFERENCE_H

typedef struct {
  double price, delta, gamma, vega, theta;
} reference_greeks;

// Black-76, zero rates: is_call 1 or 0, time in years.
reference_greeks reference_black(int is_call, double forward, double strike, double vol, double time);

// The price alone.
double reference_black_price(int is_call, double forward, double strike, double vol, double time);

// Reiner and Rubinstein's down-and-out call with a rebate at hit, only the terms its case needs;
// e^-rT and e^(b-r)T are the expiry's, made before.
double reference_barrier(
  double spot, double strike, double barrier, double rebate, double rate, double carry, double vol,
  double time, double discount, double growth);

// Raw SVI total variance at a strike.
double reference_svi(
  double a, double b, double rho, double m, double sigma, double strike, double forward);

// e^x.
double reference_exponential(double x);

// Changes of value of an expiry's options under 32 scenarios, covered in part; the volatility of each
// is its place on a raw SVI slice (a, b, rho, m, sigma).
void reference_units(
  int contracts, const int *is_call, const double *strike, const double *slice, double forward,
  double time, const double *factor, const double *multiplier, const double *cover, double *units);

// The worst scenario of every account, at most zero, and the sum of them.
double reference_recheck(
  int accounts, int held, const int *contract, const double *quantity, const double *units,
  double *worst);

// Processor time of this thread: neighbours on the machine do not count.
double reference_thread_seconds(void);

#endif
