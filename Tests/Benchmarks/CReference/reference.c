#define _GNU_SOURCE
#include "reference.h"

#include <math.h>
#include <time.h>

static const double inverse_root_two = 0.70710678118654752440;
static const double inverse_root_two_pi = 0.39894228040143267794;

static double normal(double x) { return 0.5 * erfc(-x * inverse_root_two); }

double reference_black_price(
  int is_call, double forward, double strike, double vol, double time) {
  double s = vol * sqrt(time);
  double d1 = log(forward / strike) / s + 0.5 * s;
  double d2 = d1 - s;
  return is_call ? forward * normal(d1) - strike * normal(d2)
                 : strike * normal(-d2) - forward * normal(-d1);
}

reference_greeks reference_black(
  int is_call, double forward, double strike, double vol, double time) {
  double root = sqrt(time);
  double s = vol * root;
  double d1 = log(forward / strike) / s + 0.5 * s;
  double d2 = d1 - s;
  double n = inverse_root_two_pi * exp(-0.5 * d1 * d1);
  reference_greeks g;
  if (is_call) {
    double n1 = normal(d1);
    g.price = forward * n1 - strike * normal(d2);
    g.delta = n1;
  } else {
    double n1 = normal(-d1);
    g.price = strike * normal(-d2) - forward * n1;
    g.delta = -n1;
  }
  g.gamma = n / (forward * s);
  g.vega = forward * n * root;
  g.theta = -forward * n * vol / (2 * root);
  return g;
}

double reference_barrier(
  double spot, double strike, double barrier, double rebate, double rate, double carry, double vol,
  double time, double discount, double growth) {
  double square = vol * vol;
  double s = vol * sqrt(time);
  double mu = (carry - 0.5 * square) / square;
  double lambda = sqrt(mu * mu + 2 * rate / square);
  double drift = (1 + mu) * s;
  double x1 = log(spot / strike) / s + drift;
  double x2 = log(spot / barrier) / s + drift;
  double y1 = log(barrier * barrier / (spot * strike)) / s + drift;
  double y2 = log(barrier / spot) / s + drift;
  double z = log(barrier / spot) / s + lambda * s;
  double asset = spot * growth;
  double payment = strike * discount;
  double ratio = barrier / spot;
  double p = pow(ratio, 2 * mu);
  double q = pow(ratio, 2 * (mu + 1));
  double a = asset * normal(x1) - payment * normal(x1 - s);
  double c = asset * q * normal(y1) - payment * p * normal(y1 - s);
  double f = rebate * (pow(ratio, mu + lambda) * normal(z) +
                       pow(ratio, mu - lambda) * normal(z - 2 * lambda * s));
  if (strike >= barrier) return a - c + f;
  double b = asset * normal(x2) - payment * normal(x2 - s);
  double d = asset * q * normal(y2) - payment * p * normal(y2 - s);
  return b - d + f;
}

double reference_svi(
  double a, double b, double rho, double m, double sigma, double strike, double forward) {
  double k = log(strike / forward) - m;
  return a + b * (rho * k + sqrt(k * k + sigma * sigma));
}

double reference_exponential(double x) { return exp(x); }

void reference_units(
  int contracts, const int *is_call, const double *strike, const double *slice, double forward,
  double time, const double *factor, const double *multiplier, const double *cover, double *units) {
  for (int c = 0; c < contracts; c++) {
    double w = reference_svi(
      slice[0], slice[1], slice[2], slice[3], slice[4], strike[c], forward);
    double vol = sqrt(w / time);
    double mark = reference_black_price(is_call[c], forward, strike[c], vol, time);
    for (int s = 0; s < 32; s++) {
      double value = reference_black_price(
        is_call[c], forward * factor[s], strike[c], vol * multiplier[s], time);
      units[c * 32 + s] = (value - mark) * cover[s];
    }
  }
}

double reference_recheck(
  int accounts, int held, const int *contract, const double *quantity, const double *units,
  double *worst) {
  double sum = 0;
  for (int a = 0; a < accounts; a++) {
    double sums[32] = {0};
    for (int p = a * held; p < (a + 1) * held; p++) {
      const double *unit = units + contract[p] * 32;
      for (int s = 0; s < 32; s++) sums[s] += quantity[p] * unit[s];
    }
    double least = 0;
    for (int s = 0; s < 32; s++) least = sums[s] < least ? sums[s] : least;
    worst[a] = least;
    sum += least;
  }
  return sum;
}

double reference_thread_seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}
