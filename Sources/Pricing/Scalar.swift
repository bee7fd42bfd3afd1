/// What a formula needs of a number: a plain `Real`, or a `Jet` that carries derivatives along.
protocol Scalar: Sendable {
  init(_ constant: Real)
  var value: Real { get }
  static func + (a: Self, b: Self) -> Self
  static func - (a: Self, b: Self) -> Self
  static func * (a: Self, b: Self) -> Self
  static func / (a: Self, b: Self) -> Self
  static prefix func - (a: Self) -> Self
  var exponential: Self { get }
  var logarithm: Self { get }
  var squareRoot: Self { get }
  /// The normal distribution function.
  var normal: Self { get }
  /// The same, to full relative accuracy below -3, where a large power multiplies it.
  var accurateNormal: Self { get }
  /// Times a plain number.
  func times(_ factor: Real) -> Self
}

extension Real: Scalar {
  @inline(__always) init(_ constant: Real) { self = constant }
  @inline(__always) var value: Real { self }
  @inline(__always) func times(_ factor: Real) -> Real { self * factor }
  var accurateNormal: Real { Function.distribution(self) }
}

/// A value with its derivatives: first and second by the underlying, first by volatility, time and
/// rate. Every Greek of every product comes from its price formula run on these.
struct Jet: Scalar {
  var value: Real
  var spot = Real.zero
  var spotTwice = Real.zero
  var volatility = Real.zero
  var time = Real.zero
  var rate = Real.zero

  init(_ constant: Real) { value = constant }

  init(
    _ value: Real, spot: Real = .zero, volatility: Real = .zero, time: Real = .zero,
    rate: Real = .zero
  ) {
    self.value = value
    self.spot = spot
    self.volatility = volatility
    self.time = time
    self.rate = rate
  }

  static func + (a: Jet, b: Jet) -> Jet {
    var sum = Jet(a.value + b.value)
    sum.spot = a.spot + b.spot
    sum.spotTwice = a.spotTwice + b.spotTwice
    sum.volatility = a.volatility + b.volatility
    sum.time = a.time + b.time
    sum.rate = a.rate + b.rate
    return sum
  }

  static prefix func - (a: Jet) -> Jet {
    var negative = Jet(-a.value)
    negative.spot = -a.spot
    negative.spotTwice = -a.spotTwice
    negative.volatility = -a.volatility
    negative.time = -a.time
    negative.rate = -a.rate
    return negative
  }

  static func - (a: Jet, b: Jet) -> Jet { a + -b }

  static func * (a: Jet, b: Jet) -> Jet {
    var product = Jet(a.value * b.value)
    product.spot = a.spot * b.value + a.value * b.spot
    product.spotTwice =
      a.spotTwice * b.value + (a.spot * b.spot).shifted(1) + a.value * b.spotTwice
    product.volatility = a.volatility * b.value + a.value * b.volatility
    product.time = a.time * b.value + a.value * b.time
    product.rate = a.rate * b.value + a.value * b.rate
    return product
  }

  static func / (a: Jet, b: Jet) -> Jet {
    let inverse = Real.one / b.value
    let square = inverse * inverse
    let reciprocal = b.chain(inverse, -square, (square * inverse).shifted(1))
    var quotient = a * reciprocal
    quotient.value = a.value / b.value
    return quotient
  }

  func times(_ factor: Real) -> Jet {
    var product = Jet(value * factor)
    product.spot = spot * factor
    product.spotTwice = spotTwice * factor
    product.volatility = volatility * factor
    product.time = time * factor
    product.rate = rate * factor
    return product
  }

  /// f of this, from f, f' and f'' at the value.
  private func chain(_ f: Real, _ first: Real, _ second: Real) -> Jet {
    var result = times(first)
    result.value = f
    result.spotTwice = result.spotTwice + second * spot * spot
    return result
  }

  var exponential: Jet {
    let f = value.exponential
    return chain(f, f, f)
  }

  var logarithm: Jet {
    let inverse = Real.one / value
    return chain(value.logarithm, inverse, -(inverse * inverse))
  }

  var squareRoot: Jet {
    let root = value.squareRoot
    let first = Real.half / root
    return chain(root, first, -(first.shifted(-1) / value))
  }

  var normal: Jet {
    let (probability, density) = value.normalAndDensity
    return chain(probability, density, -(density * value))
  }

  var accurateNormal: Jet {
    let density = Function.density(value)
    return chain(Function.distribution(value), density, -(density * value))
  }
}
