/// The simplex search of Nelder and Mead (1965): no derivatives, few dimensions.
enum NelderMead {
  /// The best point found from `start`, its first simplex reaching `steps` along each axis.
  ///
  /// Ends when the values of the simplex agree to `tolerance` of themselves, or after `countMax`
  /// evaluations. A value that is no number counts as the worst.
  static func minimum(
    from start: [Double], steps: [Double], tolerance: Double = 1e-10, countMax: Int = 2_000,
    of function: ([Double]) -> Double
  ) -> (point: [Double], value: Double) {
    var count = 0
    func value(_ point: [Double]) -> Double {
      count += 1
      let value = function(point)
      return value.isNaN ? .infinity : value
    }
    var simplex = [(point: start, value: value(start))]
    for axis in start.indices {
      var point = start
      point[axis] += steps[axis]
      simplex.append((point, value(point)))
    }
    let last = simplex.count - 1
    while true {
      simplex.sort { $0.value < $1.value }
      let (best, worst) = (simplex[0], simplex[last])
      if count >= countMax || worst.value - best.value <= tolerance * best.value.magnitude {
        return best
      }
      let center = start.indices.map { axis in
        simplex[..<last].reduce(0) { $0 + $1.point[axis] } / Double(last)
      }
      /// The point `factor` times as far from the centre as the worst, on the other side.
      func moved(_ factor: Double) -> (point: [Double], value: Double) {
        let point = start.indices.map { center[$0] + factor * (center[$0] - worst.point[$0]) }
        return (point, value(point))
      }
      let reflected = moved(1)
      if reflected.value < best.value {
        let expanded = moved(2)
        simplex[last] = expanded.value < reflected.value ? expanded : reflected
      } else if reflected.value < simplex[last - 1].value {
        simplex[last] = reflected
      } else {
        let contracted = moved(reflected.value < worst.value ? 0.5 : -0.5)
        if contracted.value < min(reflected.value, worst.value) {
          simplex[last] = contracted
        } else {
          for index in 1...last {
            let point = start.indices.map { (simplex[index].point[$0] + best.point[$0]) / 2 }
            simplex[index] = (point, value(point))
          }
        }
      }
    }
  }
}
