"""The twelve edge cases of eprint 2020/1244, table 5, and the small-order encodings of table 1, by textbook
arithmetic from fixed texts: prints "case" and "small" lines for the two fixtures beside this file."""
import hashlib
p=2**255-19; L=2**252+27742317777372353535851937790883648493
d=(-121665*pow(121666,p-2,p))%p; I=pow(2,(p-1)//4,p)
def add(P,Q):
    (a,b),(c,e)=P,Q; k=d*a*c*b*e%p
    return ((a*e+b*c)*pow(1+k,p-2,p)%p,(b*e+a*c)*pow(1-k,p-2,p)%p)
def mul(n,P):
    R=(0,1)
    while n:
        if n&1:R=add(R,P)
        P=add(P,P);n>>=1
    return R
def neg(P): return ((-P[0])%p,P[1])
def enc(P): return (P[1]|((P[0]&1)<<255)).to_bytes(32,'little')
def xof(y,s):
    x2=(y*y-1)*pow(d*y*y+1,p-2,p)%p
    x=pow(x2,(p+3)//8,p)
    if x*x%p!=x2:x=x*I%p
    assert x*x%p==x2
    if x&1!=s:x=(-x)%p
    return x
def dec(b):
    n=int.from_bytes(b,'little');y=(n&(2**255-1))%p
    return (xof(y,n>>255),y)
B=(xof(4*pow(5,p-2,p)%p,0),4*pow(5,p-2,p)%p)
y8=int.from_bytes(bytes.fromhex('c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a'),'little')
T=(xof(y8,0),y8)
assert mul(8,T)==(0,1) and mul(4,T)!=(0,1) and mul(L,B)==(0,1)
def H(*x): return int.from_bytes(hashlib.sha512(b''.join(x)).digest(),'little')%L
def scalar(s): return H(b'novate edge case',s.encode())
def msg(case,i): return hashlib.sha256(b'novate edge case %d message %d'%(case,i)).digest()
def check(A,R,s,k,cof):
    D=add(add(R,mul(k,A)),neg(mul(s,B)))
    return mul(8,D)==(0,1) if cof else D==(0,1)
ID=(0,1); out=[]
def emit(n,m,a,r,s,cofactored,cofactorless,reduced=(None,None)):
    A,R=dec(a),dec(r)
    k=H(reduced[1] or r,reduced[0] or a,m)
    assert check(A,R,s,k,1)==cofactored and check(A,R,s,k,0)==cofactorless,(n,)
    out.append((n,m.hex(),a.hex(),(r+s.to_bytes(32,'little')).hex()))
def find(n,f,ok):
    for i in range(10000):
        m=msg(n,i); v=f(m)
        if ok(m,*v): return (m,)+v
# 0: small A and R, S = 0
A=enc(T);R=enc(neg(T))
m,=find(0,lambda m:(),lambda m:check(T,neg(T),0,H(R,A,m),0)); emit(0,m,A,R,0,True,True)
# 1: small A, mixed R: R = rB - kT with k guessed mod 8
def small_a(n,A,a_hash,a_sent,pt):
    for i in range(100000):
        m=msg(n,i); r=scalar('%d %d'%(n,i))
        for j in range(1,8):
            Rp=add(mul(r,B),mul(j,T)); R=enc(Rp); k=H(R,a_hash,m)
            if check(pt,Rp,r,k,0): return m,R,r
m,R,r=small_a(1,A,A,A,T); emit(1,m,A,R,r,True,True)
# 2: mixed A, small R: S = ka, R = jT, A = aB + T, R = -kT
a=scalar('a2');Ap=add(mul(a,B),T);A2=enc(Ap)
def go2(n,r_hash,r_sent,Rpt,Apt,Aenc,a):
    for i in range(100000):
        m=msg(n,i);k=H(r_hash,Aenc,m);s=k*a%L
        if check(Apt,Rpt,s,k,0): return m,s
R=enc(neg(T)); m,s=go2(2,R,R,neg(T),Ap,A2,a); emit(2,m,A2,R,s,True,True)
# 3: mixed A and R, valid; 4: mixed, valid cofactored only
a=scalar('a3');Ap=add(mul(a,B),T);A3=enc(Ap)
for n,want in ((3,True),(4,False)):
    for i in range(1000):
        m=msg(n,i);r=scalar('%d r %d'%(n,i));Rp=add(mul(r,B),mul(3,T));R=enc(Rp);k=H(R,A3,m);s=(r+k*a)%L
        if check(Ap,Rp,s,k,0)==want: break
    emit(n,m,A3,R,s,True,want)
# 5: mixed A, R of order L, valid cofactored only, and not if 8k is reduced first
for i in range(1000):
    m=msg(5,i);r=scalar('5 r %d'%i);Rp=mul(r,B);R=enc(Rp);k=H(R,A3,m);s=(r+k*a)%L
    D=add(add(mul(8,Rp),mul(8*k%L,Ap)),neg(mul(8*s%L,B)))
    if not check(Ap,Rp,s,k,0) and D!=(0,1): break
emit(5,m,A3,R,s,True,False)
# 6: S + L; 7: S far above L
a=scalar('a6');A6=enc(mul(a,B));r=scalar('r6');R=enc(mul(r,B))
m=msg(6,0);s=(r+H(R,A6,m)*a)%L; emit(6,m,A6,R,s+L,True,True)
m=msg(7,0);s=(r+H(R,A6,m)*a)%L; big=s+15*L
if big>=2**256: big=s+14*L
assert big>=2**255; emit(7,m,A6,R,big,True,True)
# 8, 9: non-canonical small R (y = -1, written p + ... : the sign bit of x = 0 set), reduced for the hash or not
canon=bytes.fromhex('ec'+'ff'*30+'7f'); noncanon=bytes.fromhex('ec'+'ff'*31)
P2=(0,p-1)
def dec_nc(b): return P2
a=scalar('a8')
for n,rh in ((8,canon),(9,noncanon)):
    Ap=add(mul(a,B),T);A8=enc(Ap)
    for i in range(1000):
        m=msg(n,i);k=H(rh,A8,m);s=k*a%L
        if check(Ap,P2,s,k,0): break
    assert check(Ap,P2,s,k,0); out.append((n,m.hex(),A8.hex(),(noncanon+s.to_bytes(32,'little')).hex()))
# 10, 11: non-canonical small A, likewise
for n,ah in ((10,canon),(11,noncanon)):
    for i in range(1000):
        m=msg(n,i);r=scalar('%d r %d'%(n,i));Rp=add(mul(r,B),mul(4,T));R=enc(Rp);k=H(R,ah,m)
        if check(P2,Rp,r,k,0): break
    assert check(P2,Rp,r,k,0); out.append((n,m.hex(),noncanon.hex(),(R+r.to_bytes(32,'little')).hex()))
for o in out: print('case', *o)
# 14 small-order encodings
pts=[mul(j,T) for j in range(8)]
encs=set()
for (x,y) in pts:
    for yy in (y,y+p):
        if yy<2**255:
            for s in (0,1): encs.add((yy|(s<<255)).to_bytes(32,'little').hex())
assert len(encs) == 14
for e in sorted(encs): print('small', e)

